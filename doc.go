// Package sampan is Kubernetes' API and behaviour in five small daemons. There is no code here: the
// tests beside this file hold the architecture (docs/architecture.md) to its word.
package sampan
