// SPDX-License-Identifier: Apache-2.0

// What a Go program sees of its world: arguments, environment, standard input, files, goroutines, sleep.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	fmt.Println("args:", os.Args[1:])
	fmt.Println("GREETING=" + os.Getenv("GREETING"))
	input, err := io.ReadAll(os.Stdin)
	check(err)
	fmt.Println("stdin:", string(input))

	text, err := os.ReadFile("/data/in.txt")
	check(err)
	fmt.Println("lines:", strings.Count(string(text), "\n"))
	check(os.WriteFile("/data/out.txt", []byte(strings.ToUpper(string(text))), 0o644))
	check(os.Mkdir("/data/sub", 0o755))
	entries, err := os.ReadDir("/data")
	check(err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	fmt.Println("listing:", names)

	var group sync.WaitGroup
	numbers := make(chan int)
	for i := 1; i <= 100; i++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			numbers <- n
		}(i)
	}
	go func() {
		group.Wait()
		close(numbers)
	}()
	sum := 0
	for n := range numbers {
		sum += n
	}
	fmt.Println("goroutines:", sum)

	start := time.Now()
	time.Sleep(20 * time.Millisecond)
	fmt.Println("slept:", time.Since(start) >= 20*time.Millisecond)
	os.Exit(4)
}
