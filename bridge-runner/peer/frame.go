// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// maxFrame is the largest size of the JSON of a message, in bytes.
	maxFrame = 64 << 10
	// headerSize is the size of the length in front of the JSON: 4 bytes, most significant first.
	headerSize = 4
)

// errProtocol is the error of a member that does not follow the protocol.
var errProtocol = errors.New("the other end does not follow the protocol")

// frame is the JSON of a message.
type frame struct {
	Kind string          `json:"kind"`
	Body json.RawMessage `json:"body"`
}

// appendMessage appends the encoding of a message to buf.
func appendMessage(buf []byte, m Message) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return buf, fmt.Errorf("encoding %s: %w", m.kind(), err)
	}
	data, err := json.Marshal(frame{Kind: m.kind(), Body: body})
	if err != nil {
		return buf, fmt.Errorf("encoding %s: %w", m.kind(), err)
	}
	if len(data) > maxFrame {
		return buf, fmt.Errorf("%s has %d bytes; a message may have %d", m.kind(), len(data), maxFrame)
	}
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(data))) //nolint:gosec // checked above
	return append(buf, data...), nil
}

// newFrameReader returns a reader that can hold a whole message.
func newFrameReader(in interface{ Read([]byte) (int, error) }) *bufio.Reader {
	return bufio.NewReaderSize(in, headerSize+maxFrame)
}

// readMessage reads a message. It returns nil for a kind that this version does not know. If the
// read reaches its deadline, nothing is lost, and readMessage can be called again.
func readMessage(in *bufio.Reader) (Message, error) {
	header, err := in.Peek(headerSize)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header)
	if size > maxFrame {
		return nil, fmt.Errorf("%w: a message of %d bytes; %d are permitted", errProtocol, size, maxFrame)
	}
	data, err := in.Peek(headerSize + int(size))
	if err != nil {
		return nil, err
	}
	m, err := decode(data[headerSize:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProtocol, err)
	}
	_, err = in.Discard(len(data))
	return m, err
}

// decode decodes the JSON of a message. It returns nil if the kind is unknown.
func decode(data []byte) (Message, error) {
	var f frame
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	m := newMessage(f.Kind)
	if m == nil {
		return nil, nil // a kind of a later version
	}
	if err := json.Unmarshal(f.Body, m); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", f.Kind, err)
	}
	return m, nil
}
