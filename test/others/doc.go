// Package others shows that programs of others work against this server unchanged: controller-runtime with its
// envtest, helm, client-go's informers and kwok. It is a module of its own, so that what they need stays out of
// this project's go.mod, and it knows the project's programs only as files in bin/.
package others
