// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// Message is the content of a payload of this package.
type Message struct {
	// Stream distinguishes publishers that share a topic.
	Stream string
	// Seq is the number of the message in its stream. It starts at 1.
	Seq uint64
	// Sent is the time of the first write of the message.
	Sent time.Time
}

// Encode returns the message as a payload of at least size bytes: three words and padding, so that
// any MQTT client can print it.
func (m Message) Encode(size int) []byte {
	b := fmt.Appendf(make([]byte, 0, size), "%s %d %d ", m.Stream, m.Seq, m.Sent.UnixNano())
	if pad := size - len(b); pad > 0 {
		b = append(b, bytes.Repeat([]byte{'.'}, pad)...)
	}
	return b
}

// Decode parses a payload written by Encode. It returns false for any other payload, for example if
// the padding is damaged.
func Decode(payload []byte) (Message, bool) {
	words := bytes.SplitN(payload, []byte{' '}, 4)
	if len(words) != 4 || bytes.Count(words[3], []byte{'.'}) != len(words[3]) {
		return Message{}, false
	}
	seq, err := strconv.ParseUint(string(words[1]), 10, 64)
	if err != nil {
		return Message{}, false
	}
	nanos, err := strconv.ParseInt(string(words[2]), 10, 64)
	if err != nil {
		return Message{}, false
	}
	return Message{Stream: string(words[0]), Seq: seq, Sent: time.Unix(0, nanos)}, true
}
