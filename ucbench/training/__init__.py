"""The one training engine: victims, surrogates and the inner loops of bi-level poisoners train here."""
