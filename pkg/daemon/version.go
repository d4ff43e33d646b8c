package daemon

// Version is the version of the API contract that all daemons keep: tools compare themselves with it.
const Version = "v1.36.2"
