// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "fmt"

// maxUnread is the number of bytes of answers that may wait because the server does not read them. A
// server that follows the protocol reuses a packet identifier only after it has read the answer to the
// earlier packet (section 2.2.1 of 5). So at most 65,535 answers of up to 6 bytes wait, and each has at most
// 30 more bytes of TLS and WebSocket: 2.3 MiB.
const maxUnread = 4 << 20

// fill reads more bytes. It fails if the server makes the bridge write answers without end, and does not read them: an
// endless series of PUBRELs, for example, which have as many PUBCOMPs as their answers. Only the reader calls it.
//
// Messages may wait, too: less than two of the largest write, because Publish returns Full while maxUnsent bytes wait.
func (s *Session) fill() error {
	if waiting := s.conn.Buffered(); waiting > maxUnread {
		s.state.mu.Lock()
		own := 2 * s.largestSent
		s.state.mu.Unlock()
		if waiting > maxUnread+own {
			return &Error{Kind: ProtocolViolation, Detail: fmt.Sprintf("the server sends packets and does not read the answers: more than %d bytes wait", maxUnread)}
		}
	}
	return s.conn.fill()
}
