"""Measurements that compare the router's parts with the least that has to be done, in one run on one machine."""
