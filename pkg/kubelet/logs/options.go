// Package logs reads the files in which container runtimes keep what containers print, and keeps them small.
// It knows the format of CRI; it does not know pods.
package logs

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Options say which part of a log is wanted.
type Options struct {
	Follow     bool      // go on until the container has ended
	Timestamps bool      // put the time before each line
	Since      time.Time // nothing older; zero: all
	Tail       int64     // at most so many lines of the end; negative: all
	Limit      int64     // at most so many bytes; negative: all
	Stream     string    // corev1.LogStreamStdout or LogStreamStderr; anything else: both
}

// OptionsOf reads what the API says. now is what sinceSeconds counts from.
func OptionsOf(o *corev1.PodLogOptions, now time.Time) Options {
	out := Options{Follow: o.Follow, Timestamps: o.Timestamps, Tail: -1, Limit: -1}
	switch {
	case o.SinceTime != nil:
		out.Since = o.SinceTime.Time
	case o.SinceSeconds != nil:
		out.Since = now.Add(-time.Duration(*o.SinceSeconds) * time.Second)
	}
	if o.TailLines != nil {
		out.Tail = *o.TailLines
	}
	if o.LimitBytes != nil {
		out.Limit = *o.LimitBytes
	}
	if o.Stream != nil {
		out.Stream = *o.Stream
	}
	return out
}
