"""Why releases are unlearnable: measures of victims' features and perturbations beside the accuracies they explain."""
