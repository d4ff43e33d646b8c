package storage

// EmbeddedConfig lets tests make servers like the one in the process.
var EmbeddedConfig = embeddedConfig
