package daemon

import (
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

// Logging is the configuration of a daemon's log.
type Logging struct {
	Format    string // "text" (klog's) or "json"
	Verbosity int    // 0 to 10; higher says more
}

// AddFlags registers --logging-format and -v.
func (l *Logging) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&l.Format, "logging-format", "text", `form of the log: "text" or "json"`)
	fs.IntVarP(&l.Verbosity, "v", "v", l.Verbosity, "how much to log, 0 (least) to 10")
}

// Logger makes the logger that w receives, and hands it to klog too, through which client-go logs.
func (l *Logging) Logger(w io.Writer) (logr.Logger, error) {
	var log logr.Logger
	switch l.Format {
	case "", "text":
		log = textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(w), textlogger.Verbosity(l.Verbosity)))
	case "json":
		h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.Level(-l.Verbosity)})
		log = logr.FromSlogHandler(h)
	default:
		return logr.Discard(), fmt.Errorf(`--logging-format is %q: use "text" or "json"`, l.Format)
	}
	klog.SetLogger(log)
	return log, nil
}

// QuietLog passes what net/http complains of (handshakes that fail, mostly) to the log at verbosity 4.
func QuietLog(log logr.Logger) *stdlog.Logger { return stdlog.New(quiet{log}, "", 0) }

type quiet struct{ log logr.Logger }

func (q quiet) Write(p []byte) (int, error) {
	q.log.V(4).Info("HTTP server", "message", strings.TrimSpace(string(p)))
	return len(p), nil
}
