// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxHead is the largest size of the head of an HTTP response, in bytes. The heads of interim
// responses count, too.
const maxHead = 64 << 10

var (
	errHeadTooLong = fmt.Errorf("its header is longer than %d bytes", maxHead)
	errNotHTTP     = errors.New("the response is not HTTP")
	errIsTLS       = errors.New("the response is a TLS record")
)

// head is the head of an HTTP response. The body is not read: after a successful CONNECT and after
// an upgrade, the bytes that follow are not a body, even if the header fields announce one.
type head struct {
	code   int
	fields []headField
}

type headField struct{ name, value string }

// get returns the values of a header field. The name must be in lower case.
func (h *head) get(name string) []string {
	var out []string
	for _, f := range h.fields {
		if f.name == name {
			out = append(out, f.value)
		}
	}
	return out
}

// readHead reads the head of the final response (RFC 9112 section 2.1), and no byte after it. It
// skips interim responses (RFC 9110 section 15.2). It accepts lines that end with LF alone and a
// status line without a reason phrase, and ignores malformed header lines.
func readHead(r io.ByteReader) (*head, error) {
	remaining := maxHead
	for {
		h, err := readOneHead(r, &remaining)
		if err != nil {
			return nil, err
		}
		if interim := h.code/100 == 1 && h.code != 101; !interim {
			return h, nil
		}
	}
}

func readOneHead(r io.ByteReader, remaining *int) (*head, error) {
	h := &head{}
	line, err := readLine(r, remaining, checkProtocol)
	if err != nil {
		return nil, err
	}
	if h.code, err = statusCode(line); err != nil {
		return nil, err
	}
	for {
		line, err := readLine(r, remaining, nil)
		if err != nil {
			return nil, err
		}
		if line == "" {
			return h, nil
		}
		if last := len(h.fields) - 1; last >= 0 && (line[0] == ' ' || line[0] == '\t') { // RFC 9112 section 5.2
			h.fields[last].value += " " + strings.TrimSpace(line)
			continue
		}
		if name, value, ok := strings.Cut(line, ":"); ok {
			h.fields = append(h.fields, headField{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)})
		}
	}
}

// readLine reads a line, and returns it without its line ending. It calls check with each byte and
// its index, and stops if that returns an error. check may be nil. remaining is reduced by the
// number of bytes read.
func readLine(r io.ByteReader, remaining *int, check func(index int, b byte) error) (string, error) {
	var line []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		*remaining--
		if *remaining < 0 {
			return "", errHeadTooLong
		}
		if check != nil {
			if err := check(len(line), b); err != nil {
				return "", err
			}
		}
		if b == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b)
	}
}

const (
	httpName  = "HTTP/"
	tlsAlert  = 0x15 // the content type of a TLS record
	tlsRecord = 0x16
)

// checkProtocol returns an error at the first byte that differs from the beginning of an HTTP
// response. It does not wait for the end of the line, because another protocol may never send it.
func checkProtocol(index int, b byte) error {
	switch {
	case index == 0 && (b == tlsAlert || b == tlsRecord):
		return errIsTLS
	case index < len(httpName) && b&^0x20 != httpName[index]&^0x20:
		return errNotHTTP
	}
	return nil
}

// statusCode returns the status code of a status line.
func statusCode(line string) (int, error) {
	_, rest, _ := strings.Cut(line, " ")
	text, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	code, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 || code < 100 {
		return 0, errNotHTTP
	}
	return code, nil
}

// byteReader reads byte by byte, so that the bytes after a head remain unread.
type byteReader struct{ r io.Reader }

// ReadByte implements [io.ByteReader].
func (r byteReader) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.r, b[:])
	return b[0], err
}
