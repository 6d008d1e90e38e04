"""What all evaluation commands share: data, judge, scored method, how they begin and end."""
