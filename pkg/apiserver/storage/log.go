package storage

import (
	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"
)

// zapCore passes etcd's warnings and errors on to our log, and drops the rest.
type zapCore struct{ log logr.Logger }

func (zapCore) Enabled(l zapcore.Level) bool        { return l >= zapcore.WarnLevel }
func (c zapCore) With([]zapcore.Field) zapcore.Core { return c }
func (zapCore) Sync() error                         { return nil }
func (c zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	pairs := make([]any, 0, 2*len(enc.Fields))
	for k, v := range enc.Fields {
		pairs = append(pairs, k, v)
	}
	if e.Level >= zapcore.ErrorLevel {
		c.log.Error(nil, e.Message, pairs...)
	} else {
		c.log.V(2).Info(e.Message, pairs...)
	}
	return nil
}
