// SPDX-License-Identifier: Apache-2.0
// Counts instructions: `steps OUTPUT PROGRAM ARGUMENTS…` runs a program and writes, for each pair of SIGUSR1 that it sends
// itself, how many instructions of its own it ran between the two, a line each.
//
// Processors count instructions themselves, but virtual machines rarely let one ask. So the program is run step by step in
// between, by ptrace: slow, and exact. Only the main thread is counted.

#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: steps OUTPUT PROGRAM [ARGUMENTS…]\n");
        return 2;
    }
    FILE *output = fopen(argv[1], "w");
    if (output == NULL) {
        perror(argv[1]);
        return 2;
    }
    // On one processor: a step then is a switch of processes there, and no wake-up of another processor.
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    sched_setaffinity(0, sizeof(here), &here);

    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            perror("steps: ptrace");
            _exit(3);
        }
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(2);
    }

    int status;
    int counting = 0, started = 0;
    unsigned long long steps = 0;
    while (child > 0 && waitpid(child, &status, 0) == child) {
        if (WIFEXITED(status)) {
            fclose(output);
            return WEXITSTATUS(status);
        }
        if (WIFSIGNALED(status)) {
            fprintf(stderr, "steps: the program died of signal %d\n", WTERMSIG(status));
            return 1;
        }
        long signal = WSTOPSIG(status);
        if (signal == SIGTRAP) {  // a step, or the program's start
            steps += (unsigned)counting;
            started = 1;
            signal = 0;
        }
        else if (signal == SIGUSR1 && started) {
            if (counting) {
                fprintf(output, "%llu\n", steps);
            }
            counting = !counting;
            steps = 0;
            signal = 0;
        }
        ptrace(counting ? PTRACE_SINGLESTEP : PTRACE_CONT, child, NULL, (void *)signal);
    }
    perror("steps");
    return 1;
}
