package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const stampOut = "2006-01-02T15:04:05.000000000Z07:00"

// line is one entry of a log file: "<time> <stream> <tags> <text>". A text that the runtime cut because it
// was too long has the tag P, the last piece and every whole one F.
type line struct {
	at      time.Time
	stderr  bool
	partial bool
	text    []byte // with its newline, unless partial
}

// parse reads an entry, given with its newline. The text is part of raw.
func parse(raw []byte) (line, error) {
	var l line
	stamp, rest, ok := bytes.Cut(raw, []byte{' '})
	if !ok {
		return l, errors.New("there is no time at the beginning")
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return l, fmt.Errorf("the time is unreadable: %w", err)
	}
	stream, rest, ok := bytes.Cut(rest, []byte{' '})
	if !ok {
		return l, errors.New("there is no stream")
	}
	switch string(stream) {
	case "stdout":
	case "stderr":
		l.stderr = true
	default:
		return l, fmt.Errorf("%q is no stream", stream)
	}
	tags, text, ok := bytes.Cut(rest, []byte{' '})
	if !ok {
		return l, errors.New("there are no tags")
	}
	first, _, _ := bytes.Cut(tags, []byte{':'})
	l.at, l.partial, l.text = at, string(first) == "P", text
	if l.partial {
		l.text = bytes.TrimSuffix(text, []byte{'\n'})
	}
	return l, nil
}

// partialLine says whether an entry is a piece that another follows; it looks no further than it must.
func partialLine(raw []byte) bool {
	parts := bytes.SplitN(raw, []byte{' '}, 4)
	return len(parts) == 4 && (string(parts[2]) == "P" || bytes.HasPrefix(parts[2], []byte("P:")))
}

// errLimit ends the reading once Options.Limit bytes were written.
var errLimit = errors.New("as many bytes as were asked for have been written")

// writer writes the wanted lines to where they belong.
type writer struct {
	o              Options
	stdout, stderr io.Writer
	left           int64 // of Options.Limit; negative: no limit
	inLine         bool  // the last thing written was a piece of a line
}

func newWriter(o Options, stdout, stderr io.Writer) *writer {
	if o.Stream == corev1.LogStreamStderr {
		stdout = nil
	}
	if o.Stream == corev1.LogStreamStdout {
		stderr = nil
	}
	return &writer{o: o, stdout: stdout, stderr: stderr, left: o.Limit}
}

func (w *writer) write(l line) error {
	if !w.o.Since.IsZero() && l.at.Before(w.o.Since) {
		return nil
	}
	to := w.stdout
	if l.stderr {
		to = w.stderr
	}
	if to == nil {
		return nil
	}
	out := l.text
	if w.o.Timestamps && !w.inLine {
		out = append(append(make([]byte, 0, len(stampOut)+1+len(l.text)), l.at.Format(stampOut)+" "...), l.text...)
	}
	w.inLine = l.partial
	if w.left >= 0 && int64(len(out)) > w.left {
		out = out[:w.left]
	}
	if _, err := to.Write(out); err != nil {
		return fmt.Errorf("passing on a log: %w", err)
	}
	if w.left >= 0 {
		if w.left -= int64(len(out)); w.left == 0 {
			return errLimit
		}
	}
	return nil
}
