"""What data looks like: Arrow schemas, intervals, configuration, errors. Depends on nothing else of ours."""
