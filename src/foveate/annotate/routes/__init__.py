"""What the server answers, by who asks: everyone, readers, adjudicators, coordinators."""
