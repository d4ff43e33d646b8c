package streaming

import (
	"io"
	"net"
	"time"
)

// idleConn closes a connection on which nothing was read or written for a time.
type idleConn struct {
	io.ReadWriteCloser
	idle  time.Duration
	timer *time.Timer
}

func newIdleConn(c io.ReadWriteCloser, idle time.Duration) *idleConn {
	return &idleConn{ReadWriteCloser: c, idle: idle, timer: time.AfterFunc(idle, func() { _ = c.Close() })}
}

func (c *idleConn) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	c.timer.Reset(c.idle)
	return n, err
}

func (c *idleConn) Write(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Write(p)
	c.timer.Reset(c.idle)
	return n, err
}

func (c *idleConn) Close() error {
	c.timer.Stop()
	return c.ReadWriteCloser.Close()
}

// asConn gives a stream the form of a network connection, as the SPDY framer wants it. Deadlines have no
// effect: closing is how such a connection is interrupted.
type asConn struct{ io.ReadWriteCloser }

type streamAddr struct{}

func (streamAddr) Network() string { return "stream" }
func (streamAddr) String() string  { return "stream" }

func (asConn) LocalAddr() net.Addr              { return streamAddr{} }
func (asConn) RemoteAddr() net.Addr             { return streamAddr{} }
func (asConn) SetDeadline(time.Time) error      { return nil }
func (asConn) SetReadDeadline(time.Time) error  { return nil }
func (asConn) SetWriteDeadline(time.Time) error { return nil }
