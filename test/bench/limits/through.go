package main

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// through serves creates as nobody could do with less: what is sent is put into etcd and sent back. It judges nothing,
// follows nothing, and stores under keys of its own.
func through(args []string) error {
	f := flags("through")
	url := f.String("etcd", "http://127.0.0.1:2379", "URL of etcd")
	listen := f.String("listen", "127.0.0.1:7443", "address to serve on")
	_ = f.Parse(args) // it exits
	etcd, err := client(*url)
	if err != nil {
		return err
	}
	defer func() { _ = etcd.Close() }()
	var next atomic.Int64
	return serveTLS(*listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Method == http.MethodPost {
			_, err = etcd.Put(r.Context(), fmt.Sprintf("/limits%s/%d", r.URL.Path, next.Add(1)), string(body))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body) // a client that has gone is not missed
	}))
}
