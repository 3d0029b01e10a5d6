"""What each command does once its words are understood; imported only when it is called."""
