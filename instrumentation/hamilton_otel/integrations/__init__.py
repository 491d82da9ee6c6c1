"""One module for each library that we work with, none of which is imported unless it is asked for."""
