// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/command"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
)

const peerKeyUsage = `usage: bridge-runner peer-key DIR

Makes a key pair for --peer-key of this machine: DIR/peer.key, which stays on this machine, and
DIR/peer.pub, which the other machine needs for --peer-trusted.
`

// The files of a key pair.
const (
	peerKeyFile    = "peer.key"
	peerPublicFile = "peer.pub"
)

// makePeerKey makes a key pair in a directory. It does not replace an earlier one.
func makePeerKey(dir string) error {
	certificate, err := peer.NewCertificate()
	if err != nil {
		return err
	}
	pair, public, err := peer.EncodePEM(certificate)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the directory that the user names
		return err
	}
	if err := writeNew(filepath.Join(dir, peerKeyFile), pair, 0o600); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, peerPublicFile), public, 0o644)
}

// writeNew writes a file that does not exist.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // the user names the directory
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// runPeerKey runs the command peer-key, and returns the exit code.
func runPeerKey(args []string, out, fault io.Writer) int {
	args, err := command.ParseFlags(flag.NewFlagSet("peer-key", flag.ContinueOnError), args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(out, peerKeyUsage)
		return command.Done
	case err != nil:
		_, _ = fmt.Fprintf(fault, "bridge-runner peer-key: %s\n\n%s", command.FlagError(err), peerKeyUsage)
		return command.Usage
	case len(args) != 1 || args[0] == "":
		_, _ = io.WriteString(fault, peerKeyUsage)
		return command.Usage
	}
	key, public := filepath.Join(args[0], peerKeyFile), filepath.Join(args[0], peerPublicFile)
	switch err := makePeerKey(args[0]); {
	case errors.Is(err, os.ErrExist):
		_, _ = fmt.Fprintf(fault, "bridge-runner peer-key: %s exists and is not replaced, because the other machine may trust it; to make a new key pair, remove %s and %s first\n", existing(err), key, public)
		return 1
	case err != nil:
		_, _ = fmt.Fprintln(fault, "bridge-runner peer-key:", err)
		return 1
	}
	_, _ = fmt.Fprintf(out, "The key pair of this machine is %s; copy %s to the other machine, for --peer-trusted.\n", key, public)
	return 0
}

// existing returns the file that an error names.
func existing(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Path
	}
	return err.Error()
}

// keys reads the key pair of this machine and the public key of the other one.
func (o *peerOptions) keys() (own tls.Certificate, trusted peer.Fingerprint, err error) {
	pair, err := os.ReadFile(o.key) //nolint:gosec // the file that the user names
	if err != nil {
		return own, "", fmt.Errorf("--peer-key: %w; \"bridge-runner peer-key DIR\" makes the file", err)
	}
	if own, err = tls.X509KeyPair(pair, pair); err != nil {
		return own, "", fmt.Errorf("--peer-key %s: %w; \"bridge-runner peer-key DIR\" makes a valid file", o.key, err)
	}
	public, err := os.ReadFile(o.trusted) //nolint:gosec // the file that the user names
	if err != nil {
		return own, "", fmt.Errorf("--peer-trusted: %w; copy %s from the other machine", err, peerPublicFile)
	}
	fingerprints, err := peer.Fingerprints(public)
	if err != nil {
		return own, "", fmt.Errorf("--peer-trusted %s: %w", o.trusted, err)
	}
	if len(fingerprints) != 1 {
		return own, "", fmt.Errorf("--peer-trusted %s has %d public keys; it must have the key of the other machine alone", o.trusted, len(fingerprints))
	}
	return own, fingerprints[0], nil
}
