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

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	// subprotocol is MQTT's name among WebSocket's ([MQTT-6.0.0-3]).
	subprotocol = "mqtt"
	// maxFrame is the most that is written as one frame, and the buffer for it.
	maxFrame = 64 << 10
	// readBuffer is for frames' headers and small frames; what is longer is read
	// past it.
	readBuffer = 4 << 10
	// byeTimeout bounds how long the close frame may take.
	byeTimeout = 500 * time.Millisecond
)

// webSocket carries bytes in the binary frames of a WebSocket connection (MQTT 3.1.1
// section 6). Each Write sends one frame, or several where it is longer than
// maxFrame; Read goes on from frame to frame ([MQTT-6.0.0-2]). It keeps no more than
// its buffers, however long a frame is.
type webSocket struct {
	net.Conn // that below: its addresses and deadlines
	ws       *websocket.Conn

	frame   io.Reader // what is left of the frame that is being read
	readErr error     // why nothing more can be read

	writing sync.Mutex
	pongs   chan string // the newest ping that is not answered
	bye     sync.Once   // the close frame
	closing sync.Once
	closed  chan struct{}
}

// upgrade makes a WebSocket connection (RFC 6455 section 4.1).
func upgrade(ctx context.Context, cfg *Config, conn net.Conn) (net.Conn, *Error) {
	below := &base{Conn: conn}
	taken := func(context.Context, string, string) (net.Conn, error) { return below, nil }
	dialer := websocket.Dialer{
		NetDialContext:    taken,
		NetDialTLSContext: taken, // TLS is spoken already
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
	ws, _, err := dialer.DialContext(ctx, webSocketURL(cfg), header) //nolint:bodyclose // the library has taken it off the connection
	if err != nil {
		return nil, upgradeError(ctx, cfg, below.answer, err)
	}
	if ws.Subprotocol() != subprotocol {
		return nil, &Error{v1alpha1.ReasonWebSocketRefused, "the server speaks WebSocket and does not choose the subprotocol mqtt; check the URL's path, and that it is an MQTT server's", nil}
	}
	below.open = true
	c := &webSocket{Conn: conn, ws: ws, pongs: make(chan string, 1), closed: make(chan struct{})}
	ws.SetPingHandler(c.pinged)
	ws.SetCloseHandler(func(int, string) error { return nil }) // Close answers
	go c.pong()
	return c, nil
}

// webSocketURL is the URL of the request. It has no port if that is the scheme's own,
// no dot at the end of the host, and no zone in an IPv6 address: some servers compare the
// Host header with their name, and a zone means nothing to another host (RFC 6874
// section 1).
func webSocketURL(cfg *Config) string {
	scheme, own := "ws", "80"
	if cfg.TLS != nil {
		scheme, own = "wss", "443"
	}
	path := cfg.Path
	if path == "" {
		path = "/"
	}
	host, port, err := net.SplitHostPort(cfg.HostPort)
	if err != nil { // dialling it has not failed, so that this is not reached
		host = cfg.HostPort
	}
	host, _, _ = strings.Cut(strings.TrimSuffix(host, "."), "%")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != own {
		host += ":" + port
	}
	return scheme + "://" + host + path
}

// Read implements [net.Conn]. After an error it returns the same again.
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

func (c *webSocket) nextFrame() {
	kind, frame, err := c.ws.NextReader()
	switch {
	case err != nil:
		c.readErr = webSocketError(err)
	case kind != websocket.BinaryMessage: // [MQTT-6.0.0-1]
		c.readErr = &Error{v1alpha1.ReasonProtocolError, "the server sent a WebSocket frame of text, where MQTT has binary ones only; check the URL's path, and that it is an MQTT server's", nil}
		_ = c.closeWith(websocket.CloseUnsupportedData) // the error to tell is the one before
	default:
		c.frame = frame
	}
}

// Write implements [net.Conn].
func (c *webSocket) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
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

// pinged leaves the answer to pong: while a write waits for the server, reading
// goes on. Of several pings the newest is answered (RFC 6455 section 5.5.3).
func (c *webSocket) pinged(data string) error {
	select {
	case <-c.pongs:
	default:
	}
	c.pongs <- data // there is room: nobody else puts one in
	return nil
}

func (c *webSocket) pong() {
	for {
		select {
		case data := <-c.pongs:
			// An error is the connection's, and shows where it is read.
			_ = c.ws.WriteControl(websocket.PongMessage, []byte(data), time.Time{})
		case <-c.closed:
			return
		}
	}
}

// CloseWrite sends the close frame; the server answers with its own, and Read returns
// io.EOF then.
func (c *webSocket) CloseWrite() error { return c.sayBye(websocket.CloseNormalClosure) }

// Close sends the close frame, if that can be done soon, and closes the connection.
func (c *webSocket) Close() error { return c.closeWith(websocket.CloseNormalClosure) }

func (c *webSocket) closeWith(code int) error {
	err := net.ErrClosed
	c.closing.Do(func() {
		_ = c.SetWriteDeadline(time.Now().Add(byeTimeout)) // ends a write that waits
		_ = c.sayBye(code)                                 // a courtesy
		close(c.closed)
		err = c.Conn.Close()
	})
	return err
}

func (c *webSocket) sayBye(code int) (err error) {
	c.bye.Do(func() {
		err = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(byeTimeout))
	})
	return err
}
