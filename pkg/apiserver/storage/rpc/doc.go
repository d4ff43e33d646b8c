// Package rpc makes gRPC calls over HTTP/2 with as little as many small calls and a few long streams need: the caller
// writes its request into the connection itself, together with whoever else has one at the time, and one goroutine
// reads all answers. It knows no method's meaning.
//
// What it leaves out: compression, deadlines in the peer's knowledge (a call that ends early is reset), metadata in
// answers, and credentials beside TLS.
package rpc
