"""A seeded discrete-event simulation of the whole system: production's `decide` and worker under a virtual clock."""
