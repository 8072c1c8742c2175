// SPDX-License-Identifier: MIT
// Placeholder of the command.
int main(void) { return 2; }
