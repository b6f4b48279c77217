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

// maxHead bounds the heads of an HTTP response, interim ones included, in bytes.
const maxHead = 64 << 10

var (
	errLongHead = fmt.Errorf("the head of its answer is longer than %d bytes", maxHead)
	errNotHTTP  = errors.New("its answer is not HTTP")
	errTLSThere = errors.New("its answer is a TLS record")
)

// head is the head of an HTTP response. The body is not read: after a successful
// CONNECT, and after an upgrade, the bytes that follow are not a body, whatever the
// header fields say.
type head struct {
	code   int
	fields []headField
}

type headField struct{ name, value string }

// get returns the values of a header field, whose name is in lower case.
func (h *head) get(name string) []string {
	var out []string
	for _, f := range h.fields {
		if f.name == name {
			out = append(out, f.value)
		}
	}
	return out
}

// readHead reads the head of the final response (RFC 9112 section 2.1) and no byte
// more. It skips interim responses (RFC 9110 section 15.2), and accepts lines that end
// with LF alone, a status line without a reason phrase, and header lines that are
// malformed, which it ignores.
func readHead(r io.ByteReader) (*head, error) {
	left := maxHead
	for {
		h, err := readOneHead(r, &left)
		if err != nil {
			return nil, err
		}
		if interim := h.code/100 == 1 && h.code != 101; !interim {
			return h, nil
		}
	}
}

func readOneHead(r io.ByteReader, left *int) (*head, error) {
	h := &head{}
	line, err := readLine(r, left, checkProtocol)
	if err != nil {
		return nil, err
	}
	if h.code, err = statusCode(line); err != nil {
		return nil, err
	}
	for {
		line, err := readLine(r, left, nil)
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

// readLine reads a line without its end. check is called with each byte and its
// place; its error ends the reading. It may be nil.
func readLine(r io.ByteReader, left *int, check func(place int, b byte) error) (string, error) {
	var line []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		*left--
		if *left < 0 {
			return "", errLongHead
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

// checkProtocol refuses what does not begin like HTTP at its first byte that differs:
// another protocol may never end its line.
func checkProtocol(place int, b byte) error {
	switch {
	case place == 0 && (b == tlsAlert || b == tlsRecord):
		return errTLSThere
	case place < len(httpName) && b&^0x20 != httpName[place]&^0x20:
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

// byteReader reads byte by byte, so that nothing is taken of what follows a head.
type byteReader struct{ r io.Reader }

// ReadByte implements [io.ByteReader].
func (r byteReader) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.r, b[:])
	return b[0], err
}
