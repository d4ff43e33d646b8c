package phase

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// NewProgress shows progress on out: as a display that moves where out is a terminal, otherwise as lines.
func NewProgress(out io.Writer) Progress {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		return &display{out: out}
	}
	return &lines{out: out}
}

// lines says each thing once, for logs.
type lines struct {
	out  io.Writer
	name string
}

func (l *lines) Start(name, short string) {
	l.name = name
	fmt.Fprintf(l.out, "[%s] %s\n", name, short)
}

func (l *lines) Say(format string, args ...any) {
	fmt.Fprintf(l.out, "[%s] %s\n", l.name, fmt.Sprintf(format, args...))
}

func (l *lines) End(error, time.Duration) {}

// display keeps one line in motion while a phase runs, and leaves one line for each that has ended.
type display struct {
	out io.Writer

	mu          sync.Mutex
	name, short string
	stop        chan struct{}
	stopped     chan struct{}
}

// tick is how often the moving line is drawn.
const tick = 100 * time.Millisecond

var frames = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

const (
	clear = "\r\033[K"
	green = "\033[32m"
	red   = "\033[31m"
	dim   = "\033[2m"
	plain = "\033[0m"
)

func (d *display) Start(name, short string) {
	d.name, d.short = name, short
	d.stop, d.stopped = make(chan struct{}), make(chan struct{})
	go d.move(time.Now())
}

func (d *display) move(began time.Time) {
	defer close(d.stopped)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for i := 0; ; i++ {
		d.mu.Lock()
		fmt.Fprintf(d.out, "%s%c %-24s %s %s(%ds)%s", clear, frames[i%len(frames)], d.name, d.short, dim, int(time.Since(began).Seconds()), plain)
		d.mu.Unlock()
		select {
		case <-d.stop:
			return
		case <-ticker.C:
		}
	}
}

func (d *display) Say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n    ")
	fmt.Fprintf(d.out, "%s    %s%s%s\n", clear, dim, text, plain)
}

func (d *display) End(err error, took time.Duration) {
	close(d.stop)
	<-d.stopped
	mark, colour := '✓', green
	if err != nil {
		mark, colour = '✗', red
	}
	fmt.Fprintf(d.out, "%s%s%c%s %-24s %s %s%s%s\n", clear, colour, mark, plain, d.name, d.short, dim, took.Round(100*time.Millisecond), plain)
}
