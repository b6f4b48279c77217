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

// base is the connection below a WebSocket, as the library sees it.
//
// The library does not set its deadlines, which would undo those set from above. It
// does not read the server's answer itself, because it knows no interim responses, waits
// for the body of a refusal, and quotes the server in its errors: it gets the status and
// the header fields that it checks. If the request cannot be written, reading says why:
// the server may have sent a TLS alert.
type base struct {
	net.Conn
	open   bool          // the upgrade is done
	answer *head         // nil: not read yet
	err    error         // why it could not be read
	shown  *bytes.Reader // what the library has not read of it
	early  *bufio.Reader // the bytes behind it that came with it; nil: there are none
}

func (b *base) SetDeadline(time.Time) error { return nil }

func (b *base) SetReadDeadline(time.Time) error { return nil }

func (b *base) SetWriteDeadline(time.Time) error { return nil }

func (b *base) Read(p []byte) (int, error) {
	if b.answer == nil {
		b.readAnswer()
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case b.shown.Len() > 0:
		return b.shown.Read(p)
	case b.answer.code != http.StatusSwitchingProtocols:
		return 0, io.EOF // its body is not read
	case b.early != nil && b.early.Buffered() > 0:
		return b.early.Read(p[:min(len(p), b.early.Buffered())])
	}
	b.early = nil
	return b.Conn.Read(p)
}

// checked are the header fields that the library looks at.
var checked = []string{"upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions"}

func (b *base) readAnswer() {
	if b.err != nil {
		return
	}
	b.early = bufio.NewReaderSize(b.Conn, readBuffer)
	if b.answer, b.err = readHead(b.early); b.err != nil {
		return
	}
	var shown bytes.Buffer
	_, _ = fmt.Fprintf(&shown, "HTTP/1.1 %d \r\n", b.answer.code)
	for _, f := range b.answer.fields {
		if slices.Contains(checked, f.name) {
			_, _ = fmt.Fprintf(&shown, "%s: %s\r\n", f.name, f.value)
		}
	}
	shown.WriteString("\r\n")
	b.shown = bytes.NewReader(shown.Bytes())
}

func (b *base) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	if err != nil && !b.open {
		return len(p), nil
	}
	return n, err
}
