// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestIssuedAt_Token_ReturnsTimeOfTheAPIServer(t *testing.T) {
	encode := func(claims string) string {
		return "header." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".signature"
	}
	for _, tt := range []struct {
		name, token string
		want        int64 // seconds since 1970; 0: an error
	}{
		{"a token of the API server", encode(`{"iat":1772366400,"exp":1803902400,"sub":"system:serviceaccount:plant:b"}`), 1772366400},
		{"no time", encode(`{"exp":1803902400}`), 0},
		{"not JSON", encode(`?`), 0},
		{"not base64", "header.%.signature", 0},
		{"not a JSON Web Token", "abc", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte(tt.token), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := issuedAt(file)
			if (err != nil) != (tt.want == 0) || err == nil && !got.Equal(time.Unix(tt.want, 0)) {
				t.Errorf("%s, error %v; want %d", got, err, tt.want)
			}
		})
	}
	if _, err := issuedAt(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a missing token has a time")
	}
}
