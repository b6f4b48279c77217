// Command coredns is CoreDNS with only what the local cluster's DNS needs:
// names of Services and pods from the API server, and "no such name" for
// everything else. The stock command links every plugin that there is and
// takes minutes to compile.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	coremain.Run()
}
