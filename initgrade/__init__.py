"""Mark coursework: run submissions in a sandbox, judge the values that come out."""
