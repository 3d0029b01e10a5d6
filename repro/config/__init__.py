"""What defines an experiment: networks, trainings, profiles, keys, the machine."""
