"""A seeded discrete-event simulation of the whole system: the production controller and worker on a virtual clock."""
