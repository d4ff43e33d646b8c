package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// largeSize is how many bytes of text an object of the large lists has.
const largeSize = 1_000_000

// lists has clients list many objects of a megabyte at once, each of which stops halfway until all have come as far,
// and says how far the server's memory grew meanwhile.
func lists(args []string) error {
	f := flags("lists")
	server := f.String("server", "https://127.0.0.1:6443", "base URL of the server")
	token := f.String("token", "", "bearer token")
	pid := f.Int("pid", 0, "process of the server, on this machine")
	n := f.Int("n", 1000, "objects of a megabyte each, which are made and left there")
	readers := f.Int("readers", 10, "lists at once")
	_ = f.Parse(args) // it exits
	l := large{url: *server + "/api/v1/namespaces/default/configmaps", token: *token}
	if err := l.fill(*n); err != nil {
		return fmt.Errorf("making objects: %w", err)
	}
	before, err := resident(*pid)
	if err != nil {
		return err
	}
	most, err := l.read(*readers, *n, *pid)
	if err != nil {
		return err
	}
	fmt.Printf("%d lists of %d MB at once: server memory %d MiB before, %d MiB more at most\n", *readers, *n*largeSize/1_000_000, before>>20, (most-before)>>20)
	return nil
}

type large struct{ url, token string }

// client has a connection of its own: one that nobody reads from must not stop the others.
func (l large) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // who answers is not what is measured
	}}
}

func (l large) ask(ctx context.Context, c *http.Client, method, query string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, l.url+query, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+l.token)
	answer, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		text, _ := io.ReadAll(answer.Body)
		return nil, errors.Join(fmt.Errorf("%s %s: %s: %s", method, l.url, answer.Status, text), answer.Body.Close())
	}
	return answer, nil
}

// fill makes the objects, of text that hardly compresses.
func (l large) fill(n int) error {
	c := l.client()
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(8)
	for i := range n {
		g.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			var text strings.Builder
			for range largeSize {
				text.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random.IntN(64)])
			}
			body := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large-%d"},"data":{"k":%q}}`, i, text.String())
			answer, err := l.ask(ctx, c, http.MethodPost, "", bytes.NewReader(body))
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, answer.Body)
			return errors.Join(err, answer.Body.Close())
		})
	}
	return g.Wait()
}

// read gives the most memory that the server had while the lists were read, in bytes.
func (l large) read(readers, n, pid int) (most int64, err error) {
	sampled := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			now, err := resident(pid)
			if most = max(most, now); err != nil || ctx.Err() != nil {
				sampled <- err
				return
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	halfway := make(chan struct{}, readers)
	goOn := make(chan struct{})
	g, reading := errgroup.WithContext(ctx)
	for range readers {
		g.Go(func() error {
			answer, err := l.ask(reading, l.client(), http.MethodGet, "?resourceVersion=0", nil)
			if err != nil {
				return err
			}
			_, err = io.CopyN(io.Discard, answer.Body, int64(n)*largeSize/2)
			halfway <- struct{}{}
			select {
			case <-goOn:
			case <-reading.Done():
			}
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
			}
			return errors.Join(err, answer.Body.Close())
		})
	}
	g.Go(func() error {
		for range readers {
			select {
			case <-halfway:
			case <-reading.Done():
				return nil
			}
		}
		close(goOn)
		return nil
	})
	err = g.Wait()
	stop()
	return most, errors.Join(err, <-sampled)
}

// resident is a process's memory in bytes.
func resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("-pid names no process of this machine: %w", err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		return 0, err
	}
	return pages * int64(os.Getpagesize()), nil
}
