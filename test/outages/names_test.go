// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Names in the tests' name server, which resolves none of them and fails in different ways.
const (
	unknownName = "unknown.test" // no such name
	brokenName  = "broken.test"  // the server fails
	silentName  = "silent.test"  // no answer
)

// serveNames serves names at port 53 until the process ends. It passes to use a resolv.conf that
// names this server.
func serveNames(use func(resolvConf string) error) error {
	conn, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		return fmt.Errorf("serve names: %w", err)
	}
	go func() {
		buf := make([]byte, 1232)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, ok := answerTo(buf[:n]); ok {
				_, _ = conn.WriteTo(answer, from) // the client may have ended
			}
		}
	}()
	file, err := os.CreateTemp("", "resolv.conf")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // a mount of the file remains valid
	if _, err := file.WriteString("nameserver 127.0.0.1\n"); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return use(file.Name())
}

func answerTo(query []byte) ([]byte, bool) {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil, false
	}
	m.Response, m.RCode, m.Additionals = true, dnsmessage.RCodeNameError, nil
	switch strings.TrimSuffix(m.Questions[0].Name.String(), ".") {
	case silentName:
		return nil, false
	case brokenName:
		m.RCode = dnsmessage.RCodeServerFailure
	}
	answer, err := m.Pack()
	return answer, err == nil
}
