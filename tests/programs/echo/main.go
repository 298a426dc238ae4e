// SPDX-License-Identifier: Apache-2.0

// Serves HTTP on descriptor 3, until somebody asks for /bye.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

func main() {
	if err := syscall.SetNonblock(3, true); err != nil {
		panic(err)
	}
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		panic(err)
	}
	server := &http.Server{}
	over := make(chan bool)
	http.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		fmt.Fprintf(writer, "%s %s %d", request.Method, request.URL.Path, len(body))
		if request.URL.Path == "/bye" {
			go func() {
				server.Shutdown(context.Background())
				close(over)
			}()
		}
	})
	err = server.Serve(listener)
	<-over
	fmt.Println(err)
}
