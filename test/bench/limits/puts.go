package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// client reaches etcd, and logs nothing.
func client(url string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{url}, Logger: zap.NewNop()})
}

// puts writes a value as large as one that is stored, under keys of its own, and says how often a second.
func puts(args []string) error {
	f := flags("puts")
	url := f.String("etcd", "http://127.0.0.1:2379", "URL of etcd")
	like := f.String("like", "", "key of the value that is put")
	n := f.Int("n", 5000, "puts")
	workers := f.Int("c", 16, "puts at once")
	name := f.String("name", "raw put", "how the line begins")
	_ = f.Parse(args) // it exits
	etcd, err := client(*url)
	if err != nil {
		return err
	}
	defer func() { _ = etcd.Close() }()
	ctx := context.Background()
	found, err := etcd.Get(ctx, *like)
	if err != nil {
		return err
	}
	if len(found.Kvs) == 0 {
		return fmt.Errorf("nothing is stored at %s", *like)
	}
	value := string(found.Kvs[0].Value)
	var next atomic.Int64
	took := make([]time.Duration, *n)
	faults := make(chan error, *workers)
	begun := time.Now()
	var all sync.WaitGroup
	for range *workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < *n; i = int(next.Add(1)) - 1 {
				at := time.Now()
				if _, err := etcd.Put(ctx, fmt.Sprintf("/limits%s-%d", *like, i), value); err != nil {
					faults <- err
					return
				}
				took[i] = time.Since(at)
			}
		})
	}
	all.Wait()
	wall := time.Since(begun)
	if len(faults) > 0 {
		return <-faults
	}
	if _, err := etcd.Delete(ctx, "/limits/", clientv3.WithPrefix()); err != nil {
		return err
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	fmt.Printf("%-22s %8d ops %10.1f/s  p50 %9.2f ms  p99 %9.2f ms  %d bytes each\n",
		*name, *n, float64(*n)/wall.Seconds(), ms(took[*n/2]), ms(took[*n*99/100]), len(value))
	return nil
}
