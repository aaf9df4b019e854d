"""Housing benefit and council tax reduction, from the claim to the end of the award."""
