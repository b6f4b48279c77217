// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// subprotocol is the WebSocket subprotocol of MQTT ([MQTT-6.0.0-3]).
	subprotocol = "mqtt"
	// maxFrame is the largest payload of a frame that is written, and the size of the write
	// buffer, in bytes.
	maxFrame = 64 << 10
	// readBuffer is the size of the buffer for frame headers and small frames, in bytes. The
	// payload of larger frames is not buffered.
	readBuffer = 4 << 10
	// closeFrameTimeout is the longest time for writing the close frame.
	closeFrameTimeout = 500 * time.Millisecond
)

// webSocket carries bytes in the binary frames of a WebSocket connection (MQTT 3.1.1
// section 6). Each Write sends one frame, or several frames if it is longer than maxFrame. Read
// continues across frame boundaries ([MQTT-6.0.0-2]). It uses only its buffers, for frames of any
// length.
type webSocket struct {
	net.Conn // the connection below, for its addresses and deadlines
	ws       *websocket.Conn
	// socket is below all layers. It is nil if there is none: then writes block.
	socket *socket

	// frame is the unread rest of the current frame.
	frame io.Reader
	// readErr is the error that ended reading.
	readErr error

	// writeMu serializes Write.
	writeMu sync.Mutex
	// pongs contains the newest ping that is not yet answered.
	pongs chan string
	// closeFrameOnce guards the sending of the close frame.
	closeFrameOnce sync.Once
	closeOnce      sync.Once
	closed         chan struct{}
}

// upgrade makes a WebSocket connection (RFC 6455 section 4.1).
func upgrade(ctx context.Context, cfg *Config, conn net.Conn) (net.Conn, *Error) {
	below := &upgradeConn{Conn: conn}
	dialBelow := func(context.Context, string, string) (net.Conn, error) { return below, nil }
	dialer := websocket.Dialer{
		NetDialContext:    dialBelow,
		NetDialTLSContext: dialBelow, // below already uses TLS
		Subprotocols:      []string{subprotocol},
		ReadBufferSize:    readBuffer,
		WriteBufferSize:   maxFrame,
	}
	header := cfg.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", userAgent)
	}
	ws, _, err := dialer.DialContext(ctx, webSocketURL(cfg), header) //nolint:bodyclose // the library keeps the connection
	if err != nil {
		return nil, upgradeError(ctx, cfg, below.response, err)
	}
	switch {
	case below.hasExtension(): // RFC 6455 section 4.1
		return nil, &Error{Kind: UpgradeInvalid}
	case ws.Subprotocol() != subprotocol:
		return nil, &Error{Kind: UpgradeNoSubprotocol}
	}
	below.upgraded = true
	c := &webSocket{Conn: conn, ws: ws, socket: socketBelow(conn), pongs: make(chan string, 1), closed: make(chan struct{})}
	ws.SetPingHandler(c.handlePing)
	ws.SetCloseHandler(func(int, string) error { return nil }) // Close sends the reply
	go c.answerPings()
	return c, nil
}

// socketBelow returns the socket below the layers of a connection, or nil if there is none.
func socketBelow(conn net.Conn) *socket {
	for {
		switch layer := conn.(type) {
		case *socket:
			return layer
		case interface{ NetConn() net.Conn }: // TLS
			conn = layer.NetConn()
		default:
			return nil
		}
	}
}

// webSocketURL returns the URL of the request. It omits the scheme's default port, a dot at the end
// of the host, and the zone of an IPv6 address: some servers compare the Host header with their
// name, and a zone is valid only on the host that defines it (RFC 6874 section 1).
func webSocketURL(cfg *Config) string {
	scheme, defaultPort := "ws", "80"
	if cfg.TLS != nil {
		scheme, defaultPort = "wss", "443"
	}
	path := cfg.Path
	if path == "" {
		path = "/"
	}
	host, port, err := net.SplitHostPort(cfg.HostPort)
	if err != nil { // cannot happen: the connection to it succeeded
		host = cfg.HostPort
	}
	host, _, _ = strings.Cut(strings.TrimSuffix(host, "."), "%")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != defaultPort {
		host += ":" + port
	}
	return scheme + "://" + host + path
}

// Read implements [net.Conn]. After an error it returns the same error again.
func (c *webSocket) Read(p []byte) (int, error) {
	for c.readErr == nil && len(p) > 0 {
		if c.frame == nil {
			c.nextFrame()
			continue
		}
		n, err := c.frame.Read(p)
		switch {
		case err == io.EOF:
			c.frame = nil
		case err != nil:
			c.readErr = webSocketError(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, c.readErr
}

// nextFrame sets frame to the next frame, or readErr.
func (c *webSocket) nextFrame() {
	kind, frame, err := c.ws.NextReader()
	switch {
	case err != nil:
		c.readErr = webSocketError(err)
	case kind != websocket.BinaryMessage: // [MQTT-6.0.0-1]
		c.readErr = &Error{Kind: WebSocketTextFrame}
		_ = c.closeWith(websocket.CloseUnsupportedData) // readErr is more useful than this error
	default:
		c.frame = frame
	}
}

// Write implements [net.Conn].
func (c *webSocket) Write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	written := 0
	for written < len(p) {
		frame := p[written:min(written+maxFrame, len(p))]
		if err := c.ws.WriteMessage(websocket.BinaryMessage, frame); err != nil {
			return written, err
		}
		written += len(frame)
	}
	return written, nil
}

// handlePing passes a ping to answerPings, so that Read continues while a write waits for the
// server. Only the newest of several pings is answered (RFC 6455 section 5.5.3).
func (c *webSocket) handlePing(data string) error {
	select {
	case <-c.pongs:
	default:
	}
	c.pongs <- data // there is room, because only this function sends to pongs
	return nil
}

// answerPings sends the pongs until the connection is closed. Before the system has accepted a pong, it
// sends no other one: a server may send pings without end and read nothing.
func (c *webSocket) answerPings() {
	for {
		select {
		case data := <-c.pongs:
			// An error means that the connection has failed. The next Read returns it.
			_ = c.ws.WriteControl(websocket.PongMessage, []byte(data), time.Time{})
			if c.socket != nil {
				c.socket.awaitAccepted()
			}
		case <-c.closed:
			return
		}
	}
}

// CloseWrite sends the close frame. The server replies with its own close frame, and Read then
// returns io.EOF.
func (c *webSocket) CloseWrite() error { return c.sendCloseFrame(websocket.CloseNormalClosure) }

// Close sends the close frame, if that takes at most closeFrameTimeout, and closes the connection.
func (c *webSocket) Close() error { return c.closeWith(websocket.CloseNormalClosure) }

func (c *webSocket) closeWith(code int) error {
	err := net.ErrClosed
	c.closeOnce.Do(func() {
		_ = c.SetWriteDeadline(time.Now().Add(closeFrameTimeout)) // ends a blocked write
		_ = c.sendCloseFrame(code)                                // the server does not depend on it
		close(c.closed)
		err = c.Conn.Close()
	})
	return err
}

func (c *webSocket) sendCloseFrame(code int) (err error) {
	c.closeFrameOnce.Do(func() {
		err = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(closeFrameTimeout))
	})
	return err
}
