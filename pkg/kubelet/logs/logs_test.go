package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	sample = `2026-01-01T00:00:01.000000001Z stdout F one
2026-01-01T00:00:02.5Z stderr F two
2026-01-01T00:00:03Z stdout P thr
2026-01-01T00:00:03Z stdout P e
2026-01-01T00:00:03Z stdout F e
this is no entry
2026-01-01T00:00:04+01:00 stdout F:tag four
`
	cut = "2026-01-01T00:00:05Z stdout P cut off\n"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func zip(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReadAnswersTheWantedPart(t *testing.T) {
	second := time.Date(2026, 1, 1, 0, 0, 2, 0, time.UTC)
	all := Options{Tail: -1, Limit: -1}
	with := func(change func(o *Options)) Options { o := all; change(&o); return o }
	for name, c := range map[string]struct {
		content, out, err string
		o                 Options
	}{
		"all":           {sample, "one\nthree\nfour\n", "two\n", all},
		"cut line":      {cut, "cut off", "", all},
		"empty":         {"", "", "", all},
		"tail 1":        {sample, "four\n", "", with(func(o *Options) { o.Tail = 1 })},
		"tail 0":        {sample, "", "", with(func(o *Options) { o.Tail = 0 })},
		"tail in parts": {strings.Replace(sample, "this is no entry\n", "", 1), "three\nfour\n", "", with(func(o *Options) { o.Tail = 2 })},
		"tail 100":      {sample, "one\nthree\nfour\n", "two\n", with(func(o *Options) { o.Tail = 100 })},
		"tail cut":      {sample + cut, "cut off", "", with(func(o *Options) { o.Tail = 1 })},
		"since":         {sample, "three\n", "two\n", with(func(o *Options) { o.Since = second })},
		"limit":         {sample, "one\nthr", "two\n", with(func(o *Options) { o.Limit = 11 })},
		"stderr":        {sample, "", "two\n", with(func(o *Options) { o.Stream = corev1.LogStreamStderr })},
		"stdout":        {sample, "one\nthree\nfour\n", "", with(func(o *Options) { o.Stream = corev1.LogStreamStdout })},
		"times": {
			sample,
			"2026-01-01T00:00:01.000000001Z one\n2026-01-01T00:00:03.000000000Z three\n2026-01-01T00:00:04.000000000+01:00 four\n",
			"2026-01-01T00:00:02.500000000Z two\n", with(func(o *Options) { o.Timestamps = true }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), "0.log"), c.content)
			var out, complaints bytes.Buffer
			if err := Read(t.Context(), path, c.o, nil, &out, &complaints); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.out || complaints.String() != c.err {
				t.Errorf("got %q and %q, want %q and %q", out.String(), complaints.String(), c.out, c.err)
			}
		})
	}
}

func entries(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "2026-01-01T00:00:00Z stdout F %s%d\n", strings.Repeat("x", i%300), i)
	}
	return b.String()
}

func texts(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%s%d\n", strings.Repeat("x", i%300), i)
	}
	return b.String()
}

func TestTailGoesBackThroughRotatedFiles(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "0.log"), entries(2000, 3000))
	write(t, path+".20260101-000002", entries(1000, 2000))
	write(t, path+".20260101-000001.gz", zip(t, entries(0, 1000)))
	write(t, path+".notes", "not a part of it")
	for _, n := range []int{1, 10, 999, 1000, 1001, 1999, 2000, 2001, 2500, 3000, 4000} {
		var out bytes.Buffer
		if err := Read(t.Context(), path, Options{Tail: int64(n), Limit: -1}, nil, &out, &out); err != nil {
			t.Fatal(err)
		}
		if want := texts(max(0, 3000-n), 3000); out.String() != want {
			t.Errorf("the last %d lines: got %d bytes, want %d", n, out.Len(), len(want))
		}
	}
}

func TestReadFollowsTheLinkOfAContainer(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "0.log"), sample)
	link := filepath.Join(dir, "link.log")
	if err := os.Symlink("0.log", link); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Read(t.Context(), link, Options{Tail: 1, Limit: -1}, nil, &out, &out); err != nil || out.String() != "four\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if err := Read(t.Context(), filepath.Join(dir, "none"), Options{}, nil, &out, &out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent log gave %v", err)
	}
}

// seen collects what is written and wakes those who wait for it.
type seen struct {
	mu   sync.Mutex
	text string
	more chan struct{}
}

func newSeen() *seen { return &seen{more: make(chan struct{}, 1)} }

func (s *seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.text += string(p)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (s *seen) await(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		got := s.text
		s.mu.Unlock()
		if got == want {
			return
		}
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("saw %q, want %q", got, want)
		}
	}
}

func appendTo(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFollowGoesOnThroughRotationUntilTheContainerEnds(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "0.log"), "2026-01-01T00:00:00Z stdout F a\n")
	out, ended, done := newSeen(), make(chan struct{}), make(chan error, 1)
	go func() { done <- Read(t.Context(), path, Options{Follow: true, Tail: -1, Limit: -1}, ended, out, out) }()
	out.await(t, "a\n")
	appendTo(t, path, "2026-01-01T00:00:00Z stdo")
	appendTo(t, path, "ut F b\n")
	out.await(t, "a\nb\n")
	if err := os.Rename(path, path+".20260101-000001"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path+".20260101-000001", "2026-01-01T00:00:00Z stdout F c\n")
	out.await(t, "a\nb\nc\n")
	appendTo(t, path, "2026-01-01T00:00:00Z stdout F d\n")
	out.await(t, "a\nb\nc\nd\n")
	appendTo(t, path, "2026-01-01T00:00:00Z stdout F e\n")
	close(ended)
	if err := <-done; err != nil {
		t.Error(err)
	}
	out.await(t, "a\nb\nc\nd\ne\n")
}

func TestFollowEndsWithItsReaderAndAtItsLimit(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "0.log"), "2026-01-01T00:00:00Z stdout F a\n")
	ctx, cancel := context.WithCancel(t.Context())
	out, done := newSeen(), make(chan error, 2)
	go func() {
		done <- Read(ctx, path, Options{Follow: true, Tail: -1, Limit: -1}, make(chan struct{}), out, out)
	}()
	out.await(t, "a\n")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	limited := newSeen()
	go func() {
		done <- Read(t.Context(), path, Options{Follow: true, Tail: -1, Limit: 3}, make(chan struct{}), limited, limited)
	}()
	limited.await(t, "a\n")
	appendTo(t, path, "2026-01-01T00:00:00Z stdout F bcd\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
	limited.await(t, "a\nb")
}

func TestOptionsOf(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	seconds, tail, limit, stream := int64(30), int64(5), int64(9), "Stderr"
	got := OptionsOf(&corev1.PodLogOptions{SinceSeconds: &seconds, TailLines: &tail, LimitBytes: &limit, Stream: &stream, Follow: true}, now)
	if want := (Options{Follow: true, Since: now.Add(-30 * time.Second), Tail: 5, Limit: 9, Stream: "Stderr"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	at := metav1.NewTime(now)
	if got := OptionsOf(&corev1.PodLogOptions{SinceTime: &at}, now); got != (Options{Since: now, Tail: -1, Limit: -1}) {
		t.Errorf("got %+v", got)
	}
}
