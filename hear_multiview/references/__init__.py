"""Reference submissions: HEAR modules of a few dozen lines, so that there is something to beat on day one."""
