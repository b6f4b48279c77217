// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// upgradeConn is the connection below a WebSocket, as the WebSocket library uses it.
//
// It ignores the library's deadlines, which would override the deadlines that the connection's user
// sets. It reads the server's response itself, and passes only the status code and passedFields to
// the library: the library does not support interim responses, waits for the body of a refusal,
// and quotes the server in its errors. If the request cannot be written, Write reports success,
// because the next Read returns the cause: the server may have sent a TLS alert.
type upgradeConn struct {
	net.Conn
	// upgraded is true when the upgrade has succeeded.
	upgraded bool
	// response is the server's response, nil until it is read.
	response *head
	// responseErr is the error of reading the response.
	responseErr error
	// filtered is the part of the response that the library has not yet read.
	filtered *bytes.Reader
	// buffered has bytes after the response that were read together with it. It is nil if there
	// are none.
	buffered *bufio.Reader
}

func (b *upgradeConn) SetDeadline(time.Time) error { return nil }

func (b *upgradeConn) SetReadDeadline(time.Time) error { return nil }

func (b *upgradeConn) SetWriteDeadline(time.Time) error { return nil }

func (b *upgradeConn) Read(p []byte) (int, error) {
	if b.response == nil {
		b.readResponse()
	}
	switch {
	case b.responseErr != nil:
		return 0, b.responseErr
	case b.filtered.Len() > 0:
		return b.filtered.Read(p)
	case b.response.code != http.StatusSwitchingProtocols:
		return 0, io.EOF // the body is not read
	case b.buffered != nil && b.buffered.Buffered() > 0:
		return b.buffered.Read(p[:min(len(p), b.buffered.Buffered())])
	}
	b.buffered = nil
	return b.Conn.Read(p)
}

// passedFields are the header fields that the library checks. Extensions are not among them: the library
// accepts compression that the request does not offer.
var passedFields = []string{"upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol"}

// hasExtension reports whether the response uses an extension. The request offers none.
func (b *upgradeConn) hasExtension() bool {
	return slices.ContainsFunc(b.response.get("sec-websocket-extensions"), func(value string) bool { return value != "" })
}

func (b *upgradeConn) readResponse() {
	if b.responseErr != nil {
		return
	}
	b.buffered = bufio.NewReaderSize(b.Conn, readBuffer)
	if b.response, b.responseErr = readHead(b.buffered); b.responseErr != nil {
		return
	}
	var filtered bytes.Buffer
	_, _ = fmt.Fprintf(&filtered, "HTTP/1.1 %d \r\n", b.response.code)
	for _, f := range b.response.fields {
		if slices.Contains(passedFields, f.name) {
			_, _ = fmt.Fprintf(&filtered, "%s: %s\r\n", f.name, f.value)
		}
	}
	filtered.WriteString("\r\n")
	b.filtered = bytes.NewReader(filtered.Bytes())
}

func (b *upgradeConn) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	if err != nil && !b.upgraded {
		return len(p), nil
	}
	return n, err
}
