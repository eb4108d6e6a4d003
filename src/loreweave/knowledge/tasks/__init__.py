"""What can be asked of a language model about users and items."""
