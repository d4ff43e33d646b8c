// Package defaults fills in what clients leave out of the shapes that several kinds embed: pod specs and
// templates, containers, volumes, probes. What only one kind has is defaulted beside its Definition.
//
// Every function is idempotent: it runs on what clients send and on what etcd holds. It runs in the kubelet too, on
// pods that no apiserver has seen, and knows neither daemon.
package defaults

// set points field at value where it points at nothing.
func set[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// fill gives field a value where it has its zero.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
