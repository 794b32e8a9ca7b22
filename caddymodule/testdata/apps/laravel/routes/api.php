<?php

use Illuminate\Http\Request;
use Illuminate\Support\Facades\Route;

// The code of the page.
