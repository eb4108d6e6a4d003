"""Recommenders on the graph of users, entities and interests. They need torch (extra `neural`)."""
