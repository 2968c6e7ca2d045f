"""Studies: questions that a table of accuracies answers, each runnable as it stands."""
